"""How a crew's phone and the city agree: the protocol, its decisions and its one blueprint."""
