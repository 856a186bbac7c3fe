"""Objectives of the service as data, and what follows from them: rules, alerts, their tests, dashboards."""
