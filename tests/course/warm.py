"""What every run of pytest imports, imported once before the candidates fork."""
from _pytest.config import PytestPluginManager, default_plugins

for _name in default_plugins:
    PytestPluginManager().import_plugin(_name)
