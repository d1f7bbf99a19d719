"""The media of the fabric, one module each, behind the interface `Backend`."""
