"""What changes outside the mesh by itself: Cloud Map's instances, mapped certificates."""
