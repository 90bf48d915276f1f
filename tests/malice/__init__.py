"""What somebody may try with an ingress repository."""
