"""What runs inside the sandbox: it imports the ground modules and the 9P client only."""
