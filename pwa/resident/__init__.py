"""What the pages of residents share: the own report, its photos, the place on a map, kinds by words."""
