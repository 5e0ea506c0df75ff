"""Every row out of a database and into another one."""
