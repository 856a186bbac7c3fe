"""What this project asks of every manifest, beyond what Kubernetes would accept."""
