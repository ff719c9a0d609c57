"""The paper's Table 3: do synthetic images help a segmentation network, and where?"""
