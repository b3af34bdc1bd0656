"""Does the same job without Sightstream. These programs stand alone and run in an environment of their own."""
