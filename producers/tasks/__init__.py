"""Tasks: files that say what is asked about each image, and how the answers look."""
