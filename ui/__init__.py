"""The page: gradio components over run folders. Imports realfill's torch-free layers only."""

ENDED = "Ended; runs that are being worked on go on."  # the last line on the terminal
