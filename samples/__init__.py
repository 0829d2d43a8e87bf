"""Rendered people, the clips and bundles that are shipped, and the renderer that makes more of them."""
