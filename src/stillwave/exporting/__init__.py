"""What a network costs and what it needs to run."""
