"""What this machine can do: measurements with their method beside them."""
