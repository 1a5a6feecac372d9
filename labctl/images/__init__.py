"""The lab's images: what is built, from what, and which of it the stack's profiles need."""
