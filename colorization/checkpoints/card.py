"""Model cards."""

from collections.abc import Mapping
from typing import Any

_HEADER = """---
library_name: colorization
pipeline_tag: image-to-image
tags:
- image-colorization
- colorization
---
"""


def generic_card(config: Mapping[str, Any]) -> str:
    """The model card of any model, from its configuration."""
    rows = [(part, _name(config.get(part))) for part in ("backbone", "decoder", "objective", "data", "optimizer")]
    data, trainer = config.get("data", {}), config.get("trainer", {})
    rows += [("size of training crops", f"{data.get('size')} px"), ("epochs", str(trainer.get("max_epochs")))]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return f"""{_HEADER}
# A colorization model

Colours black-and-white pictures; trained with the package colorization-lightning.

```python
from colorization import Colorizer

colorize = Colorizer.from_pretrained("FOLDER_OR_NAME")
```

| | |
|---|---|
{table}
"""


def _name(node: Any) -> str:
    return str(node.get("_target_", "")).rpartition(".")[2] if isinstance(node, Mapping) else ""
