"""Tasks that come with the package, one TOML file each; `sightstream task list` lists them."""
