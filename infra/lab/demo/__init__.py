"""`sightstream demo`: real images through a real Kafka and a real S3, a worker killed half-way, and the counts hold."""
