"""What the models of `serving/model_repository` do; imported by Triton's stub alone."""
