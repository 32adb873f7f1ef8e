"""The loss while training goes on."""
