"""The abstraction dialect: prose with brackets, from Chain-of-Abstraction."""
