"""The whole system on one machine: services, pipeline and simulated cameras, watched and scored."""
