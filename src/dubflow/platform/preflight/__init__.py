"""What can be known about a cluster's manifests, images and rules without a cluster."""
