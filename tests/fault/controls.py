HEAD = ()
CONTROLS = []
