"""What steps of pipelines do: run verbs of ``dubflow`` and leave an artifact, here and on a cluster alike."""
