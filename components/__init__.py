"""Steps of pipelines as typed KFP components: one folder each, whose body is one call into the package."""
