"""Run folders as the page shows them and works on them."""
