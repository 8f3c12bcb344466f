"""What happens in a session, as a stream: the kinds of its objects, their rows, and who reads them while they come."""
