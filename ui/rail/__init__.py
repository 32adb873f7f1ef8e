"""The left rail: all projects."""
