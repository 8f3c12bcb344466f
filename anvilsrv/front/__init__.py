"""What front-ends share: following the daemon, following a conversation, and asking things of the tree, all over 9P."""
