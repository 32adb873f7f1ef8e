"""The seeds as a grid, and one seed in full."""
