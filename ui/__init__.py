"""The page: gradio components over run folders. Imports realfill's torch-free layers only."""
