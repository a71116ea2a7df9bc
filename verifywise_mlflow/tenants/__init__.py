"""Who is synced: tenants, their servers, their credentials by reference, their own words."""
