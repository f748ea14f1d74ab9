"""Streets, addresses, geocoders, assets, areas, basemap."""
