"""The figures that an operator of catalog workers asks first."""

from prometheus_client import Counter, Gauge, Histogram

HEALTHY = Gauge("ollamanet_backend_healthy", "1 when the catalog's last look at the back-end went well.", ["backend"])
MODELS = Gauge("ollamanet_catalog_models", "Models that a back-end serves now.")
REFRESHES = Counter("ollamanet_catalog_refreshes_total", "Times that back-ends were asked what they have.")
REFRESH_TIME = Histogram("ollamanet_catalog_refresh_seconds", "A look at all back-ends, until its changes were told.")
CHANGES = Counter("ollamanet_catalog_changes_total", "Models that came, changed or went.", ["change"])
STEPS = Counter("ollamanet_catalog_steps_total", "Steps of administrators' commands that ended.", ["kind", "outcome"])
