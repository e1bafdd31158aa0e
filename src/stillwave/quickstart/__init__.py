"""From nothing to a page that shows and plays what distillation did."""
