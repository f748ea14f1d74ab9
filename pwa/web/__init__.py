"""What every page needs: access, forms, formatting, errors."""
