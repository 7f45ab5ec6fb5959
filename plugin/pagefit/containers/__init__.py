"""Archives and folders: walking their members, and rewriting them without touching what did not change."""
