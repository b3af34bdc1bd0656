"""`sightstream demo`: sends images through a real Kafka and S3, kills a worker half-way, and checks the counts."""
