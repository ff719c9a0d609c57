"""RS-SPADE: cloud-free optical satellite images from radar, land cover and elevation."""

__version__ = "0.1.0"
