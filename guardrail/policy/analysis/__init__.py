"""Tools that examine policies: explanations, mutations, differences. No call imports them."""
