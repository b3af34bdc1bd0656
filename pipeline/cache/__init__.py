"""What was answered once is not computed again."""
