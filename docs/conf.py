from importlib.metadata import version as installed_version

project = "geopb"
author = "the geopb developers"
copyright = "2026, the geopb developers"
release = version = installed_version("geopb")

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"geopb {release}"
