"""The page's texts in the visitor's language: the English sentence is the key, and each other language is one file."""
