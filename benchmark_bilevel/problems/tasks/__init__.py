"""Problems made of tasks: many small inner problems that share x."""
