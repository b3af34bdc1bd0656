"""The same job without Sightstream. These programs stand alone: they run in an environment of their own."""
