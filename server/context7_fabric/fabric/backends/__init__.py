"""Where the fabric's bytes lie: one module a medium, each behind the same small seam."""
