"""What the product does: look-ups and documentation questions, answered from the fabric first."""
